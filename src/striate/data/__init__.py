"""Pictures and labels: from what lies on the disk to arrays that a network can be trained on."""
