// The search of a page that is opened from disk. A browser refuses workers to such pages, so the search's script runs in
// a hidden frame instead; the theme looks for this name.
if (location.protocol === "file:") {
  window.IFrameWorker = class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.document.open();
      inside.document.write("<!doctype html><script></script>");
      inside.document.close();
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = (...urls) => urls.reduce((done, one) => done.then(() => this.load(one)), Promise.resolve());
      this.load(url).then(() => this.waiting.splice(0).forEach((data) => this.deliver(data)));
      this.inside = inside;
    }
    load(url) {
      const document = this.frame.contentDocument;
      return new Promise((done, failed) => {
        const script = document.createElement("script");
        Object.assign(script, { src: url, onload: () => { this.loaded = true; done(); }, onerror: failed });
        document.body.append(script);
      });
    }
    deliver(data) {
      this.inside.dispatchEvent(new MessageEvent("message", { data }));
    }
    postMessage(data) {
      if (this.loaded) this.deliver(data);
      else this.waiting.push(data);
    }
    terminate() {
      this.frame.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
