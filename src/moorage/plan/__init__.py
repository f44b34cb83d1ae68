"""What should happen: pure state machines, ``handle(event, now) -> commands``. No I/O, no clock."""
