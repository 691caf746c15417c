"""What SCAPNet is compared with: the plain backbone, NTS-Net (+ PRM) and RRA (+ gGAU).

The networks of other papers are written from their papers. Where a paper is silent, a figure is its public code's and
marked as such.
"""
