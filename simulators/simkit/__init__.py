"""The kit of a simulator author: the instrument contract, conversations, faults and the ledger of what was sent."""
