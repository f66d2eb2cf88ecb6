"""A laid-out network as a torch.nn.Module, its first weights, and weights in and out."""
