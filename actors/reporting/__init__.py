"""What every report is made of, whatever it tells of. Knows nothing that is told.

`page` HTML, `junit` XML, `texts` numbers, JSON and lines, `screen` a terminal (it alone imports rich), `files` what is written at the end.
"""
