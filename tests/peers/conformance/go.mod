// The public suite for IPFS gateways, pinned. It is fetched and run: nothing of it is part of this project.
module ddn/tests/peers/conformance

go 1.25

require github.com/ipfs/gateway-conformance v0.13.2
