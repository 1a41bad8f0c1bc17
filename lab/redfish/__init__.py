"""The nodes' management controller: Redfish, as far as powering a machine off and on needs it."""
