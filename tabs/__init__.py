"""The page's tabs: a folder per tab (layout, events, plain handlers), and kit/ for what they have
alike. No tensors, nothing that two visitors could share by accident.
"""
