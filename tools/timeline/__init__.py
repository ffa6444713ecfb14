"""What tools/report is made of: events.py reads an event file, replay.py turns it into lifetimes of blocks and objects,
summary.py finds the heavy call sites and the leaks, page.py makes the HTML of web/."""
