"""How Asterisk is spoken to: AGI, AMI and MixMonitor. It never decides what is recorded."""
