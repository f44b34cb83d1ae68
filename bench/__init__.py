"""Speed, storms and faults: every figure the README quotes, against the peers, in one run."""
