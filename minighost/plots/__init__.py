"""Every picture that minighost draws, one subject per file: `run`, `sheets`, `gradient`, `trace`.

`figure` makes the figure and writes the file; `style` has the colours. Nothing here knows who asks for a picture, and
matplotlib, which takes a second to import, is imported when the first one is drawn.
"""
