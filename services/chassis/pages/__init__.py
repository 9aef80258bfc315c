"""What every server-rendered page stands on."""
