"""A site without guests: one process plays the kubelets and virt-handlers of many nodes, with drawn durations."""
