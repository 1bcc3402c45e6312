package doctor

import "fmt"

// blocker is what keeps a program out of native mode.
type blocker struct {
	what string // "" where nothing does
	do   string // the exact command where there is one
	hard bool   // the filter cannot be attached at all
}

// The largest MTUs that drivers take without packets in several buffers.
const (
	// ENA_XDP_MAX_MTU of ena_xdp.h: a page less headers, headroom and
	// skb_shared_info. It drops packets in several buffers.
	enaMTU = 3498
	// gve_verify_xdp_configuration of gve_main.c: a buffer of 2 KiB less the
	// Ethernet header and GVE_RX_PAD.
	gveMTU = 2032
	// What others get into a page of 4 KiB beside XDP_PACKET_HEADROOM (256),
	// skb_shared_info (320), and Ethernet and VLAN headers, rounded down.
	pageMTU = 3400
)

// Bits that a virtio network device and its driver agree on: section 5.1.3 of the
// virtio specification 1.2, linux/virtio_net.h.
const (
	virtioGuestCSUM     = 1
	virtioGuestOffloads = 2 // offloads can be switched while it runs
	virtioGuestTSO4     = 7
	virtioGuestTSO6     = 8
	virtioGuestECN      = 9
	virtioGuestUFO      = 10
	virtioGuestUSO4     = 54
	virtioGuestUSO6     = 55
)

// blocked says what is in the way of native mode. It knows what the kernel's
// drivers ask for, and asks the driver for the rest.
func (l Link) blocked(cpus int) blocker {
	switch {
	case l.Loopback:
		return blocker{what: "the loopback interface has generic mode only; that is for trying out", do: "name the interface that leads outside in `packet.interfaces`"}
	case !l.Ethernet:
		return blocker{what: "its packets have no Ethernet header (PPP, tunnels), and the filter refuses it", do: "name the interface below it in `packet.interfaces`", hard: true}
	case l.Kind == "vlan":
		return blocker{what: "a VLAN has generic mode only", do: fmt.Sprintf("name %s in `packet.interfaces`: the filter reads the tags of all its VLANs", l.below())}
	case l.Kind == "bridge", l.Kind == "macvlan", l.Kind == "ipvlan", l.Kind == "dummy", l.Kind == "ifb":
		return blocker{what: "a " + l.Kind + " has generic mode only", do: fmt.Sprintf("name %s in `packet.interfaces`", l.below())}
	}
	switch l.Driver {
	case "virtio_net":
		return l.blockedVirtio()
	case "ena":
		// ena_xdp_allowed of drivers/net/ethernet/amazon/ena/ena_xdp.h.
		return l.blockedCloud(cpus, enaMTU, "")
	case "gve":
		// gve_verify_xdp_configuration of drivers/net/ethernet/google/gve/gve_main.c.
		return l.blockedCloud(cpus, gveMTU, "lro off rx-gro-hw off")
	case "mlx5_core":
		// mlx5e_xdp_allowed of drivers/net/ethernet/mellanox/mlx5/core/en_main.c.
		if l.LRO {
			return blocker{what: "the card joins packets (LRO), which the driver does not allow together with native mode", do: fmt.Sprintf("`sudo ethtool -K %s lro off rx-gro-hw off`", l.Name)}
		}
	}
	switch {
	case l.Features.Known && !l.Features.Basic:
		return blocker{what: "the driver has no native mode: each packet costs several times as much before the filter can drop it",
			do: "ask the host for a machine whose card has it (virtio_net, ena, gve, mlx5, ixgbe, i40e, ice, igb, igc, bnxt_en); until then generic mode helps"}
	case l.MTU > pageMTU && l.Features.Known && !l.Features.Frags:
		return l.jumbo(pageMTU)
	}
	return blocker{}
}

func (l Link) jumbo(most int) blocker {
	return blocker{
		what: fmt.Sprintf("its MTU is too large for native mode with this driver, which takes up to %d", most),
		do:   fmt.Sprintf("`sudo ip link set dev %s mtu %d`, and the same in your network configuration", l.Name, min(1500, most)),
	}
}

// blockedVirtio: virtnet_xdp_set of drivers/net/virtio_net.c refuses while the host
// joins packets or leaves checksums out, unless the driver may switch that off
// itself. Too few queues are no obstacle since Linux 5.13.
func (l Link) blockedVirtio() blocker {
	if l.Virtio == "" || l.virtio(virtioGuestOffloads) {
		return blocker{}
	}
	for _, bit := range []int{virtioGuestTSO4, virtioGuestTSO6, virtioGuestECN, virtioGuestUFO, virtioGuestCSUM, virtioGuestUSO4, virtioGuestUSO6} {
		if l.virtio(bit) {
			return blocker{
				what: "the host joins packets and leaves out checksums (guest offloads), and this machine may not switch that off (`ethtool -K` calls it fixed): no native mode, and a packet costs several times as much",
				do:   "ask the host to switch them off (libvirt: `<driver><guest csum='off' tso4='off' tso6='off' ecn='off' ufo='off'/></driver>`; QEMU: `guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off`), or to let the guest do so (`ctrl_guest_offloads=on`); generic mode works meanwhile",
			}
		}
	}
	return blocker{}
}

// virtio says whether a feature was agreed on: the kernel writes a digit for
// each, from bit 0 on.
func (l Link) virtio(bit int) bool { return bit < len(l.Virtio) && l.Virtio[bit] == '1' }

// blockedCloud is for drivers that want as many queues again for what a program
// sends, and take only small frames.
func (l Link) blockedCloud(cpus, mtu int, off string) blocker {
	switch {
	case l.MTU > mtu:
		return l.jumbo(mtu)
	case l.Channels.Known && 2*l.Channels.Combined > l.Channels.MaxCombined:
		return blocker{
			what: fmt.Sprintf("%d of %d channels are in use, and native mode wants at most half", l.Channels.Combined, l.Channels.MaxCombined),
			do:   fmt.Sprintf("`sudo ethtool -L %s combined %d`", l.Name, max(1, min(cpus, l.Channels.MaxCombined/2))),
		}
	case l.LRO && off != "":
		return blocker{what: "the card joins packets (LRO), which the driver does not allow together with native mode", do: fmt.Sprintf("`sudo ethtool -K %s %s`", l.Name, off)}
	}
	return blocker{}
}

// halved says whether native mode leaves only half of the channels.
func (l Link) halved() bool { return l.Driver == "ena" || l.Driver == "gve" }

func (l Link) below() string {
	if l.Below != "" {
		return l.Below
	}
	return "the interface below it"
}
