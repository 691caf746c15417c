"""PRM, part relation modelling: Eq. 9 to 13 and 16.

B batch, M parts, D feature size, h heads, n the receiving part, m the sending part.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def relative_geometry(boxes: Tensor) -> Tensor:
    """g_mn, defined above Eq. 10: position and size of part n relative to the sending part m.

    Args:
        boxes: (..., M, 4) cxcywh.

    Returns:
        (..., n, m, 4): log(|dx| / w_m), log(|dy| / h_m), log(w_n / w_m), log(h_n / h_m).
    """
    receiver, sender = boxes.unsqueeze(-2), boxes.unsqueeze(-3)  # (..., n, 1, 4), (..., 1, m, 4)
    distance = (receiver[..., :2] - sender[..., :2]).abs() / sender[..., 2:]
    # Eq. 10 has log(0) if centres coincide, as for m = n: distances are clamped at 1/1000 of the sender's size.
    return torch.cat((distance.clamp(min=1e-3), receiver[..., 2:] / sender[..., 2:]), -1).log()


def encode_geometry(geometry: Tensor, dim: int = 64) -> Tensor:
    """EP of Eq. 10: sines, then cosines, of 100 g_c / 1000^(8j/d_p), as in Relation Networks (Hu et al., 2018).

    Args:
        geometry: (..., 4).
        dim: d_p, a multiple of 8.

    Returns:
        (..., d_p).
    """
    waves = dim // 8
    frequency = 100 / 1000 ** (torch.arange(waves, device=geometry.device, dtype=geometry.dtype) / waves)
    angle = (geometry.unsqueeze(-1) * frequency).flatten(-2)  # (..., 4*waves)
    return torch.cat((angle.sin(), angle.cos()), -1)


def relation_weights(appearance: Tensor, geometry: Tensor) -> Tensor:
    """Weights omega of Eq. 11, computed as a softmax of omega_F + log omega_P, which cannot overflow.

    A receiver without any sender of positive omega_P (0 / 0 in Eq. 11) uses appearance alone.

    Args:
        appearance: (..., n, m) omega_F.
        geometry: (..., n, m) omega_P >= 0.

    Returns:
        (..., n, m); each row sums to 1 over the senders m.
    """
    related = geometry > 0
    fallback = ~related.any(-1, keepdim=True)
    safe = torch.where(related, geometry, 1.0)  # masked before the log; otherwise its gradient would be 0 * inf
    return (appearance + safe.log()).masked_fill(~(related | fallback), -torch.inf).softmax(-1)


class PartRelation(nn.Module):
    """Self-attention over the appearance and the positions of an image's parts.

    Args:
        dim: D.
        key_dim: d_k of each head.
        geo_dim: d_p, a multiple of 8.
        heads: N_PRM of Eq. 16; their widths sum to D even if D is not a multiple of heads.
        appearance: use ARM, Eq. 9; without it omega_F = 0.
        geometry: use GRM, Eq. 10; without it omega_P = 1.
    """

    def __init__(
        self,
        dim: int,
        key_dim: int = 64,
        geo_dim: int = 64,
        heads: int = 1,
        appearance: bool = True,
        geometry: bool = True,
    ) -> None:
        super().__init__()
        if not 1 <= heads <= dim:
            raise ValueError(f"{heads} heads do not fit {dim} features; use 1 to {dim}")
        if key_dim < 1:
            raise ValueError(f"key_dim {key_dim} must be at least 1")
        if geo_dim < 8 or geo_dim % 8:
            raise ValueError(f"geo_dim {geo_dim} must be a positive multiple of 8 (4 coordinates, sine and cosine)")
        self.heads, self.key_dim, self.geo_dim = heads, key_dim, geo_dim
        self.query = nn.Linear(dim, heads * key_dim, bias=False) if appearance else None
        self.key = nn.Linear(dim, heads * key_dim, bias=False) if appearance else None
        self.geo = nn.Linear(geo_dim, heads, bias=False) if geometry else None
        self.value = nn.Linear(dim, dim, bias=False)

    def appearance(self, features: Tensor) -> Tensor:
        """omega_F, Eq. 9: features (B, M, D) to (B, h, n, m)."""
        if self.query is None or self.key is None:
            return features.new_zeros(features.shape[0], self.heads, features.shape[1], features.shape[1])
        shape = (self.heads, self.key_dim)
        query: Tensor = self.query(features).unflatten(-1, shape).transpose(1, 2)  # (B, h, n, d_k)
        key: Tensor = self.key(features).unflatten(-1, shape).transpose(1, 2)  # (B, h, m, d_k)
        return (query / math.sqrt(self.key_dim)) @ key.transpose(-1, -2)

    def geometry(self, boxes: Tensor) -> Tensor:
        """omega_P, Eq. 10: boxes (B, M, 4) cxcywh to (B, h, n, m)."""
        if self.geo is None:
            return boxes.new_ones(boxes.shape[0], self.heads, boxes.shape[1], boxes.shape[1])
        code = encode_geometry(relative_geometry(boxes), self.geo_dim)  # (B, n, m, d_p)
        weights: Tensor = F.relu(self.geo(code)).permute(0, 3, 1, 2)
        return weights

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Add to each part the weighted values of all parts.

        Args:
            features: (B, M, D).
            boxes: (B, M, 4) cxcywh, in any unit.

        Returns:
            (B, M, D), f + Concat[v_1, ..., v_h]: Eq. 12, 13 and 16.
        """
        appearance, geometry = self.appearance(features), self.geometry(boxes)
        exact = torch.promote_types(features.dtype, torch.float32)
        weights = relation_weights(appearance.to(exact), geometry.to(exact)).to(features.dtype)  # (B, h, n, m)
        values = self.value(features).to(features.dtype).tensor_split(self.heads, -1)  # h of (B, M, about D/h)
        return features + torch.cat([weights[:, i] @ value for i, value in enumerate(values)], -1)
