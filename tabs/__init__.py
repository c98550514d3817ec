"""The page's tabs: a file or folder per tab (layout, events, plain handlers), jobs.py for how they
run work, look.py for how they look. No tensors, nothing that two visitors could share by accident.
"""
