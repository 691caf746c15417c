"""The networks that SCAPNet is compared with: the plain backbone, NTS-Net (+ PRM) and RRA (+ gGAU).

The networks of other papers are implemented from those papers. Values that a paper does not give are taken from its
public code and marked as such.
"""
