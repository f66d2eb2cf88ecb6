"""A network as a torch.nn.Module."""
