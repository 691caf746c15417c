"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const by = (id) => document.getElementById(id);
  const percent = (value) => `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}%`;

  // Everything is made of nodes and text, never of HTML in a string: names of classes and files may hold anything.
  function node(kind, attributes = {}, children = []) {
    const made = document.createElement(kind);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }
  function shape(kind, attributes) {
    const made = document.createElementNS(SVG, kind);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }
  const soft = (name) => name.split(/(?<=[_/])/).flatMap((part, i) => i ? [node("wbr"), part] : [part]);
  const nameOf = (k) => node("bdi", {}, soft(data.classes[k]));

  // --- Tables that sort ---
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[column].dataset.value;
        const numbers = head.classList.contains("number") || column === heads.length - 1;
        const order = (a, b) => numbers ? value(a) - value(b) : value(a).localeCompare(value(b), undefined, { numeric: true });
        const rows = [...table.tBodies[0].rows].sort(order);
        table.tBodies[0].append(...(down ? rows.reverse() : rows));
      });
    });
  }

  // --- The gallery's filters ---
  const cards = [...document.querySelectorAll("#cards .card")];
  const form = by("filters");
  const photoOf = (card) => data.photos[card.dataset.photo];
  const right = (photo) => photo.best[0][0] === photo.true;
  function filter() {
    const chosen = form.elements;
    const low = Number(chosen.from.value) / 100, high = Number(chosen.to.value) / 100;
    chosen["from-text"].value = `${chosen.from.value}%`;
    chosen["to-text"].value = `${chosen.to.value}%`;
    const k = chosen.class.value === "" ? null : Number(chosen.class.value);
    let shown = 0;
    for (const card of cards) {
      const photo = photoOf(card), sure = photo.best[0][1];
      const fits = (k === null || photo.true === k || photo.best[0][0] === k) && sure >= low && sure <= high + 1e-9
        && (chosen.outcome.value === "" || right(photo) === (chosen.outcome.value === "right"));
      card.hidden = !fits;
      shown += fits;
    }
    by("count").textContent = `${shown} of ${cards.length} photos`;
  }
  function order() {
    const sure = (card) => photoOf(card).best[0][1];
    const orders = {
      sure: (a, b) => sure(b) - sure(a),
      unsure: (a, b) => sure(a) - sure(b),
      class: (a, b) => photoOf(a).true - photoOf(b).true,
    };
    const chosen = orders[form.elements.order.value];
    by("cards").append(...(chosen ? [...cards].sort(chosen) : cards));
  }
  if (form) {
    form.hidden = false;
    form.addEventListener("input", () => { filter(); order(); });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => { filter(); order(); }));
    filter();
  }
  for (const link of document.querySelectorAll("a[data-class]")) {
    link.addEventListener("click", () => { form.reset(); form.elements.class.value = link.dataset.class; setTimeout(filter); });
  }

  // --- What is drawn over a photo ---
  const scaleOf = (scale) => 1 + (scale - 1) % 4;
  function overlay() {
    return shape("svg", { class: "overlay", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  }
  function drawParts(svg, photo, chosen = null, scales = null) {
    const takes = chosen === null ? [] : photo.parts[chosen].takes;
    [...photo.parts.keys()].reverse().forEach((m) => {
      const part = photo.parts[m];
      if (scales && !scales.has(part.scale)) return;
      const inset = 0.004 * (part.scale - 1);
      const [x0, y0, x1, y1] = part.box;
      const place = { x: x0 + inset, y: y0 + inset, width: x1 - x0 - 2 * inset, height: y1 - y0 - 2 * inset };
      const faint = chosen !== null && m !== chosen ? " faint" : "";
      svg.append(shape("rect", { ...place, class: "rim" + faint }));
      svg.append(shape("rect", { ...place, class: `part p${scaleOf(part.scale)}${faint}${m === chosen ? " chosen" : ""}` }));
    });
    const middle = (m) => [(photo.parts[m].box[0] + photo.parts[m].box[2]) / 2, (photo.parts[m].box[1] + photo.parts[m].box[3]) / 2];
    takes.forEach((weight, m) => {
      if (m === chosen || weight < 0.02) return;
      const [ax, ay] = middle(m), [bx, by_] = middle(chosen);
      const cx = (ax + bx) / 2 - (by_ - ay) * 0.2, cy = (ay + by_) / 2 + (bx - ax) * 0.2;
      const path = `M${ax} ${ay}Q${cx} ${cy} ${bx} ${by_}`;
      svg.append(shape("path", { d: path, class: "arrow", style: `stroke:#000;stroke-width:${3 + 10 * weight}px` }));
      svg.append(shape("path", { d: path, class: "arrow", style: `stroke-width:${1.2 + 9 * weight}px` }));
    });
  }
  function drawGate(svg, gate) {
    const side = 1 / gate.length;
    gate.forEach((row, y) => row.forEach((kept, x) => {
      if (kept < 1) svg.append(shape("rect", { x: x * side, y: y * side, width: side, height: side, class: "shut", "fill-opacity": 1 - kept }));
    }));
  }
  const STEPS = [[8, 6, 32], [74, 20, 110], [160, 40, 100], [225, 85, 45], [250, 165, 30], [252, 250, 190]];
  function colour(level) {
    const at = Math.max(0, Math.min(0.9999, level)) * (STEPS.length - 1), i = Math.floor(at);
    return STEPS[i].map((low, c) => Math.round(low + (at - i) * (STEPS[i + 1][c] - low)));
  }
  function drawCam(cam) {
    const size = 160, canvas = node("canvas", { width: size, height: size, "aria-hidden": "true" });
    const context = canvas.getContext("2d"), pixels = context.createImageData(size, size);
    const rows = cam.length, columns = cam[0].length;
    const clamp = (value, most) => Math.max(0, Math.min(most - 1, value));
    for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
      const v = clamp((y + 0.5) / size * rows - 0.5, rows), u = clamp((x + 0.5) / size * columns - 0.5, columns);
      const j = Math.floor(v), i = Math.floor(u), b = v - j, a = u - i;
      const at = (q, p) => cam[clamp(q, rows)][clamp(p, columns)];
      const level = (at(j, i) * (1 - a) + at(j, i + 1) * a) * (1 - b) + (at(j + 1, i) * (1 - a) + at(j + 1, i + 1) * a) * b;
      pixels.data.set([...colour(level), 255], 4 * (y * size + x));
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }
  for (const card of cards) {
    const show = () => {
      const frame = card.querySelector(".frame");
      if (frame.querySelector("svg") || !photoOf(card).parts.length) return;
      const svg = overlay();
      drawParts(svg, photoOf(card));
      frame.append(svg);
    };
    const hide = () => card.querySelector(".frame svg")?.remove();
    const button = card.querySelector("button");
    button.addEventListener("pointerenter", show);
    button.addEventListener("pointerleave", hide);
    button.addEventListener("focus", show);
    button.addEventListener("blur", hide);
    button.addEventListener("click", () => open(card));
  }

  for (const button of document.querySelectorAll("[data-open]")) {
    button.addEventListener("click", () => { open(cards[button.dataset.open]); from = button; });
  }

  // --- One photo in full ---
  const viewer = by("viewer");
  let current = null, from = null, layer = "parts", scales = null, pinned = null;
  function open(card) {
    current = card;
    from = card.querySelector("button");
    scales = new Set(photoOf(card).parts.map((part) => part.scale));
    pinned = null;
    const photo = photoOf(card);
    const has = { parts: photo.parts.length, gate: photo.gate, cam: photo.cam, photo: true };
    if (!has[layer]) layer = ["parts", "gate", "cam", "photo"].find((one) => has[one]);
    fillLayers(has);
    fillReasons(photo);
    draw(null);
    if (!viewer.open) viewer.showModal();
    by("viewer-title").focus();
  }
  function draw(chosen) {
    const photo = photoOf(current);
    const image = node("img", { src: current.querySelector("img").src, alt: photo.name });
    const children = [image], svg = overlay();
    if (layer === "cam") children.push(drawCam(photo.cam));
    if (layer === "gate") drawGate(svg, photo.gate);
    if (layer === "parts" || chosen !== null) drawParts(svg, photo, chosen, chosen === null ? scales : null);
    by("picture").replaceChildren(...children, svg);
  }
  function choice(kind, name, value, checked, label, changed) {
    const input = node("input", { type: kind, name, value });
    input.checked = checked;
    input.addEventListener("change", () => changed(input));
    return node("label", {}, [input, ...label]);
  }
  function fillLayers(has) {
    const names = { parts: "parts", gate: "gate", cam: "class activation map", photo: "photo only" };
    by("layers").replaceChildren(by("layers").firstElementChild, ...Object.keys(names).filter((one) => has[one]).map(
      (one) => choice("radio", "layer", one, one === layer, [names[one]], () => { layer = one; draw(pinned); })));
    const found = [...scales].sort();
    by("scales").hidden = found.length < 2;
    by("scales").replaceChildren(by("scales").firstElementChild, ...found.map((scale) => choice(
      "checkbox", "scale", scale, true, [node("span", { class: `key k${scaleOf(scale)}` }), `scale ${scale}`],
      (input) => { if (input.checked) scales.add(scale); else scales.delete(scale); draw(pinned); })));
  }
  function sentence(words, k, p) { return node("p", {}, [words, nameOf(k), ` ${percent(p)}`]); }
  function points(value) { return `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`; }
  function fillReasons(photo) {
    const [k, p] = photo.best[0];
    by("viewer-title").replaceChildren(nameOf(k), ` ${percent(p)}`);
    const truth = k === photo.true ? node("p", { class: "for" }, ["✓ right"]) : node("p", { class: "against" }, ["✗ wrong, it is ", nameOf(photo.true)]);
    const found = [truth, node("p", { class: "quiet" }, [node("bdi", { class: "file" }, soft(photo.name))])];
    for (const [other, q] of photo.best.slice(1)) found.push(sentence("then ", other, q));
    if (photo.together) {
      found.push(sentence("main branch alone: ", ...photo.main), sentence("parts alone: ", ...photo.together));
    }
    if (photo.gate) {
      const kept = photo.gate.flat().reduce((sum, one) => sum + one, 0) / photo.gate.flat().length;
      found.push(node("p", {}, [`The gate kept ${percent(kept)} of the photo.`]));
    }
    if (photo.parts.length) found.push(...votes(photo));
    by("reasons").replaceChildren(...found);
  }
  function votes(photo) {
    const list = node("ul", { class: "votes" });
    const detail = node("p", { class: "note", role: "status" });
    const shared = photo.whole !== null;
    const head = shared ? ["Each part’s own vote, and what it adds to this answer rather than ", nameOf(photo.versus), ", in percentage points:"]
      : ["Each part’s own vote:"];
    const rest = "Point at a part, or choose it, to see it and what it takes from the others.";
    photo.parts.forEach((part, m) => {
      const share = part.share === null ? "" : points(part.share);
      const button = node("button", { type: "button", "aria-pressed": "false" }, [
        node("span", { class: `key k${scaleOf(part.scale)}`, title: `scale ${part.scale}` }),
        node("span", {}, [node("span", { class: "quiet" }, [`${m + 1}. `]), nameOf(part.vote), ` ${percent(part.probability)}`, node("span", { class: "quiet" }, [` scale ${part.scale}, score ${part.score.toFixed(2)}`])]),
        node("span", { class: part.share < 0 ? "against" : "for" }, [share]),
      ]);
      const show = () => {
        draw(m);
        const takes = part.takes.map((weight, n) => [weight, n]).filter(([weight, n]) => weight >= 0.02 && n !== m).sort((a, b) => b[0] - a[0]);
        detail.textContent = !part.takes.length ? `Part ${m + 1}: this network does not relate its parts.`
          : `Part ${m + 1} takes ${percent(part.takes[m])} from itself` + takes.map(([weight, n]) => `, ${percent(weight)} from part ${n + 1}`).join("") + " (PRM).";
      };
      const hide = () => { draw(pinned); if (pinned === null) detail.textContent = rest; };
      button.addEventListener("pointerenter", show);
      button.addEventListener("focus", show);
      button.addEventListener("pointerleave", hide);
      button.addEventListener("blur", hide);
      button.addEventListener("click", () => {
        pinned = pinned === m ? null : m;
        list.querySelectorAll("button").forEach((other, n) => other.setAttribute("aria-pressed", String(n === pinned)));
        if (pinned === null) hide(); else show();
      });
      list.append(node("li", {}, [button]));
    });
    detail.textContent = rest;
    const whole = shared ? [node("p", {}, ["whole picture ", node("span", { class: photo.whole < 0 ? "against" : "for" }, [points(photo.whole)])])] : [];
    return [node("p", {}, head), ...whole, list, detail];
  }
  function step(by_) {
    const shown = [...by("cards").children].filter((card) => !card.hidden);
    if (!shown.length) return;
    open(shown[(shown.indexOf(current) + by_ + shown.length) % shown.length]);
  }
  if (viewer) {
    by("previous").addEventListener("click", () => step(-1));
    by("next").addEventListener("click", () => step(1));
    by("close").addEventListener("click", () => viewer.close());
    viewer.addEventListener("close", () => from.focus());
    viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
    viewer.addEventListener("keydown", (event) => {
      if (event.target.matches("input")) return;
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
  }
})();
