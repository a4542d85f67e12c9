"""Finding things in pictures: RetinaNet on a feature pyramid, over any network of `models`.

One stage: from each place of the pyramid's maps a class and a box are predicted at once, and the focal loss keeps the
thousands of places where there is nothing from drowning the few where there is something (Lin et al. 2017, "Focal
loss for dense object detection"; the pyramid is Lin et al. 2017, "Feature pyramid networks for object detection").
GhostNet's authors report a second detector beside it, Faster R-CNN. It is left out: it takes two stages, the second on
cut-outs of the maps, which is one idea more for about the same result (their table has both, within half a point).
"""

from minighost.detect.boxes import Detections, Target, clip, decode, encode, iou, target

__all__ = ["Detections", "Target", "clip", "decode", "encode", "iou", "target"]
