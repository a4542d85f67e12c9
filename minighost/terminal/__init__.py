"""What a terminal shows: `text` draws bars, tables and pictures with letters, `console` shows how a long job goes."""
