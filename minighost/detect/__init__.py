"""Finding things in pictures: RetinaNet on a feature pyramid, over any network of `models`.

One stage: from each place of the pyramid's maps a class and a box are predicted at once, and the focal loss keeps the
thousands of places where there is nothing from drowning the few where there is something (Lin et al. 2017, "Focal
loss for dense object detection"; the pyramid is Lin et al. 2017, "Feature pyramid networks for object detection").
GhostNet's authors report a second detector beside it, Faster R-CNN. It is left out: it takes two stages, the second on
cut-outs of the maps, which is one idea more for about the same result (their table has both, within half a point).
"""

from minighost.detect.anchors import anchors
from minighost.detect.average_precision import AveragePrecision, average_precision
from minighost.detect.boxes import Detections, Target, clip, decode, encode, iou, target
from minighost.detect.detections import detections
from minighost.detect.fpn import FeaturePyramid
from minighost.detect.loss import Loss, loss
from minighost.detect.matching import IGNORED, NOTHING, match
from minighost.detect.nms import nms, nms_reference
from minighost.detect.retinanet import RetinaNet, Tower, ghostnet_retinanet

__all__ = [
    "IGNORED",
    "NOTHING",
    "AveragePrecision",
    "Detections",
    "FeaturePyramid",
    "Loss",
    "RetinaNet",
    "Target",
    "Tower",
    "anchors",
    "average_precision",
    "clip",
    "decode",
    "detections",
    "encode",
    "ghostnet_retinanet",
    "iou",
    "loss",
    "match",
    "nms",
    "nms_reference",
    "target",
]
