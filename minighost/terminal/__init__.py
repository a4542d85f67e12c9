"""What a terminal shows: `text` draws bars, tables and images as text, `console` shows how a long job goes."""
