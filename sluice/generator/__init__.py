"""The generator of shop events: Faker makes the shop, numpy lets people shop, pyarrow writes what they did.

``shop`` holds the pools, ``traffic`` the sessions and the day's rhythm, ``records`` the CSV text with its dirt and
copies, ``files`` what lands. ``python -m sluice.generator --rows N --out FILE`` writes one file of any size.
"""
