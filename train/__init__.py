"""The offline trainer: data, augmentation, networks, losses, fitting and export (torch)."""
