"""The lab's network: namespaces, bridges and veth pairs, none of which ever touches the host's own namespace."""
