"""What SCAPNet is compared with: the plain backbone, NTS-Net (+ PRM) and RRA (+ gGAU).

The networks of other papers are implemented from the papers. Values that a paper does not give are those of its public
code and are marked as such.
"""
