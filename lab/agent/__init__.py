"""The agent of one node: kubelet, virt-handler and virt-launcher of the lab in one asyncio process."""
