"""A trained network for other programs: ONNX, PyTorch code, or arrays for NumPy.

`graph_of` makes a list of plain steps of a network (`numpy_graph` says what each means), and one file for each format
writes it down. What is written has been run first, beside the network itself.
"""

from minighost.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AnswersDiffer": "comparison",
        "Comparison": "comparison",
        "Exported": "write",
        "FORMATS": "formats",
        "export": "write",
        "graph_of": "lowering",
        "read": "numpy_graph",
        "rule": "lowering",
        "run": "numpy_graph",
    },
)
