"""A vision transformer cut between two of its blocks: its patch tokens are the map that gGAU and SCAPS look at.

B batch, C embedding size, P prefix tokens (class token and registers), H W patches of a column and of a row, n tokens
that are kept, D size of the pooled features.
"""

import inspect
from typing import Any

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from scapnet.backbones.cnn import Backbone, evaluation_mode
from scapnet.backbones.weights import network_name

POOLS = ("token", "avg", "map")
EPSILON = 1e-6  # weight of a closed token in training, so that the gate's gradient is that of DynamicViT


def is_vit(net: nn.Module) -> bool:
    """Whether a timm network is a vision transformer that can be cut: ViT, DINOv2, DINOv3, EVA-02, SigLIP, CLIP, ..."""
    return isinstance(net, VisionTransformer | Eva)


class TokenBackbone(Backbone):
    """A vision transformer in two halves, with class token and registers beside the map.

    ``finish(*start(x))`` equals the pooled features of the whole network; this is checked on construction.

    Args:
        net: a network of which `is_vit` is true.
        size: side of its input in pixels.
        block: how many blocks run before the gate; 0 is a third of them.

    Raises:
        ValueError: no such block, or a pool that closed tokens cannot be kept out of.
    """

    def __init__(self, net: nn.Module, size: int, block: int = 0) -> None:
        super().__init__(net, size, cut=False)
        own: Any = net
        depth = len(own.blocks)
        self.block = block or max(1, round(depth / 3))
        if not 0 < self.block < depth:
            raise ValueError(f"{network_name(net)} has {depth} blocks; the gate can come after block 1 to {depth - 1}")
        if own.attn_pool is None and own.global_pool not in POOLS:
            raise ValueError(
                f"{network_name(net)} is pooled by {own.global_pool!r}, which closed tokens cannot be kept out of; "
                f"use a network with a pool of {', '.join(POOLS)}, or disable the gate and the parts"
            )
        if "attn_mask" not in inspect.signature(own.blocks[0].forward).parameters or getattr(own, "rope_mixed", False):
            raise ValueError(f"the blocks of {network_name(net)} take no attention mask in this version of timm")
        self.channels = int(own.embed_dim)
        self.prefix = int(own.num_prefix_tokens)
        example = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad(), evaluation_mode(net):
            found, expected = self.finish(*self.start(example)), self(example)
        if not torch.allclose(found, expected, rtol=1e-4, atol=1e-5):
            raise ValueError(
                f"the two halves of {network_name(net)} do not reproduce the features of the whole network"
            )

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, h, w) to the patch tokens as a map (B, C, H, W) and the prefix (B, P, C), before the gate."""
        net: Any = self.net
        height, width = self._grid(x)
        tokens = net._pos_embed(net.patch_embed(x))
        if isinstance(net, Eva):
            tokens = tokens[0]
        elif net.patch_drop is not None:
            tokens = net.patch_drop(tokens)
        tokens = self._blocks(net.norm_pre(tokens), 0, self.block, self._rope(height, width), None)
        features = tokens[:, self.prefix :].transpose(1, 2).reshape(x.shape[0], self.channels, height, width)
        return features, tokens[:, : self.prefix]

    def finish(self, features: Tensor, prefix: Tensor | None, mask: Tensor | None = None) -> Tensor:
        """The rest of the network, in which no token attends to a closed one and none is pooled.

        In training a closed token is masked in the attention, as in DynamicViT (Rao et al., NeurIPS 2021); in
        evaluation closed tokens are dropped, which saves their cost and gives the same features.

        Args:
            features: (B, C, H, W) from `start`.
            prefix: (B, P, C) from `start`.
            mask: (B, H, W) the kept share of each patch; None keeps all.

        Returns:
            Features (B, D).
        """
        assert prefix is not None
        tokens, rope = features.flatten(2).transpose(1, 2), self._rope(*features.shape[-2:])
        if mask is None:
            return self._pool(self._blocks(torch.cat([prefix, tokens], 1), self.block, None, rope, None), None)
        kept = mask.flatten(1)  # (B, HW)
        bias: Tensor | None
        traced = torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None
        if self.training or traced or not bool(((kept == 0) | (kept == 1)).all()):
            bias = (kept + EPSILON if self.training else kept).float().log()
            return self._rest(prefix, tokens, kept, bias, rope)
        open_ = kept.bool()
        count = open_.sum(1)
        order = open_.float().argsort(dim=1, descending=True, stable=True)[:, : int(count.max())]
        tokens = tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[2]))
        valid = open_.gather(1, order).to(kept.dtype)
        if rope is not None:
            rope = rope[order][:, None]  # (B, 1, n, ...)
        bias = None if bool((count == count[0]).all()) else valid.float().log()
        return self._rest(prefix, tokens, valid, bias, rope)

    def _rest(self, prefix: Tensor, tokens: Tensor, weight: Tensor, bias: Tensor | None, rope: Tensor | None) -> Tensor:
        """Blocks and pool of tokens (B, n, C) with weights (B, n) and a bias (B, n) of the attention to them."""
        x = torch.cat([prefix, tokens], 1)
        if bias is not None:
            bias = torch.cat([bias.new_zeros(prefix.shape[:2]), bias], 1)[:, None, None].to(x.dtype)  # (B, 1, 1, P + n)
        return self._pool(self._blocks(x, self.block, None, rope, bias), weight)

    def _blocks(self, x: Tensor, first: int, end: int | None, rope: Tensor | None, bias: Tensor | None) -> Tensor:
        net: Any = self.net
        options: dict[str, Any] = {} if bias is None else {"attn_mask": bias}
        if isinstance(net, Eva):
            options["rope"] = rope
        for block in net.blocks[first:end]:
            x = block(x, **options)
        return x

    def _pool(self, x: Tensor, weight: Tensor | None) -> Tensor:
        """Tokens (B, P + n, C) to features (B, D); a patch counts with its weight (B, n)."""
        net: Any = self.net
        x = net.norm(x)
        if weight is None or (net.attn_pool is None and net.global_pool == "token"):
            return self._features(x)
        whole = bool(getattr(net, "pool_include_prefix", isinstance(net, Eva) and net.attn_pool is not None))
        if net.attn_pool is not None:
            bias = weight.float().clamp(min=EPSILON if self.training else 0).log()
            if whole:
                bias = torch.cat([bias.new_zeros(x.shape[0], self.prefix), bias], 1)
            mask = bias[:, None, None].to(x.dtype)
            hook = net.attn_pool.register_forward_pre_hook(
                lambda _, inputs, options: (inputs, {**options, "attn_mask": mask}), with_kwargs=True
            )
            try:
                return self._features(x)
            finally:
                hook.remove()
        # A mean of weighted tokens, times their number over the sum of their weights, is the weighted mean.
        ahead = self.prefix if whole else 0
        scale = (weight.shape[1] + ahead) / (weight.sum(1) + ahead)
        ones = weight.new_ones(x.shape[0], self.prefix)
        return self._features(x * (torch.cat([ones, weight], 1) * scale[:, None])[..., None].to(x.dtype))

    def _features(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.net.forward_head(x, pre_logits=True)  # type: ignore[operator]
        return pooled

    def _grid(self, x: Tensor) -> tuple[int, int]:
        net: Any = self.net
        height, width = (side // patch for side, patch in zip(x.shape[-2:], net.patch_embed.patch_size, strict=True))
        return height, width

    def _rope(self, height: int, width: int) -> Tensor | None:
        """(HW, ...) the rotary embedding of every patch."""
        rope = getattr(self.net, "rope", None)
        found: Tensor | None = None if rope is None else rope.get_embed(shape=(height, width))
        return found

    def head(self, x: Tensor) -> Tensor:
        """Images (B, 3, h, w) to the map (B, C, H, W) of `start`."""
        return self.start(x)[0]

    def tail(self, features: Tensor) -> Tensor:
        """There is none.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{network_name(self.net)} ends in tokens, not in a map; use another backbone for this network"
        )

    def map_cells(self, size: int, stage: int) -> tuple[int, int]:
        """H and W of an image of ``size`` pixels, for either stage."""
        return self._grid(torch.empty(1, 3, size, size, device="meta"))


def fit_positions(net: nn.Module, state: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """A state dict whose position embeddings are those of a network for images of another size, resampled."""
    own: Any = net
    key = f"{prefix}pos_embed"
    known = getattr(own, "pos_embed", None)
    if not is_vit(net) or known is None or key not in state or state[key].shape == known.shape:
        return state
    ahead = 0 if own.no_embed_class else own.num_prefix_tokens
    grid = list(own.patch_embed.grid_size)
    return {**state, key: resample_abs_pos_embed(state[key], new_size=grid, num_prefix_tokens=ahead)}
