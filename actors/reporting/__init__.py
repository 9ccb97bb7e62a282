"""What all reports are made of. Knows nothing of scenarios, seeds or conformance.

`page` HTML, `junit` XML, `texts` numbers, JSON and lines, `screen` a terminal (it alone imports rich), `files` what is written at the end.
"""
