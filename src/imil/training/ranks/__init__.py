"""Training on several devices: one process (rank) for each, of which rank 0 holds the run.

Rank 0 is the process that `imil train` runs in. It alone has the store, the files, the console and
the reading room, and sends the others commands over a connection of its own: to train an epoch, to
predict a part of a split. Between commands they wait for as long as a reader takes; a collective
operation would end after its library's time-out. Where a process ends, the connection is closed,
which rank 0 sees at once, whatever it does.
"""
