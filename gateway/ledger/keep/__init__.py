"""What our own log needs: leaves from events, tables, published files, witnesses, receipts."""
