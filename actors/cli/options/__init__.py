"""Each command's arguments, and the frozen, validated options that its work gets; see `actors.cli.commands`."""
