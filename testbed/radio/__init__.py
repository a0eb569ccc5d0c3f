"""What lies between mobile nodes and their cells: bridges that stand for radio, or real 802.11."""
