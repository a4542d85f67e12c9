"""minighost: a deep-learning framework to read in a weekend and to train GhostNet with on a laptop.

``import minighost as mg`` loads nothing heavy; each room is opened when it is first used::

    model = mg.models.create("ghostnet", width=0.5, num_classes=10, stem_stride=1, rng=0)
    logits = model(x)                                            # x: (N, H, W, 3) float32
    loss, dlogits = mg.ops.softmax_cross_entropy(logits, labels)
    dx = model.backward(dlogits)                                 # fills p.grad of every parameter
    mg.train.SGD(model.parameters(), lr=0.1, momentum=0.9).step()
"""

from minighost.lazy import lazy_names

__version__ = "0.1.0"

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "analysis": "",
        "bench": "",
        "cli": "",
        "data": "",
        "errors": "",
        "gradcheck": "",
        "interop": "",
        "learn": "",
        "models": "",
        "nn": "",
        "ops": "",
        "stepper": "",
        "train": "",
        # these two are used so often that they need no room's name
        "threads": "ops",
        "trace": "analysis",
    },
)
