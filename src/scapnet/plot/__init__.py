"""Pictures of what a network looked at: plain functions that take an image and return one.

An image is a path, a Pillow image, a numpy array (H, W, 3), a torch tensor (3, H, W), or what else `scapnet.Predictor`
takes as one photo; what comes back is a Pillow image in RGB. Boxes are in pixels of the image that is given, so that
those of a `scapnet.Prediction` fit its photo. Lines and letters grow with the picture.
"""

from scapnet.plot.caption import caption as caption
from scapnet.plot.compare import compare as compare
from scapnet.plot.maps import cam as cam
from scapnet.plot.maps import draw_gate as draw_gate
from scapnet.plot.parts import draw_marks as draw_marks
from scapnet.plot.parts import draw_parts as draw_parts
from scapnet.plot.relation import draw_relation as draw_relation
