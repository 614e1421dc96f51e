"""What a training asks of the machine: device, precision and memory."""
