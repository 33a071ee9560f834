"""Built-in networks: every file here that defines `NETWORKS`, functions (image_shape, num_classes) -> network, adds to
the zoo; a network has the name of its function.

`image_shape` is (C, H, W). Weights are those that PyTorch draws when the layers are made, in this order. A plain
`nn.Sequential` of the layers that `effbatch/engine/stacking.py` lists trains as an ensemble.
"""
