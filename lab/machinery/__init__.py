"""What controllers and node agents share: object helpers, an informer-fed view of the cluster, events, work queues."""
