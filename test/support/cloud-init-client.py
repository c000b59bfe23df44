# Metadata by cloud-init's own client of SmartOS's protocol, as Debian has it: its data source's classes, with the transport that is named.
# cloud-init itself would look at the firmware's tables to choose one, which a machine has not.
#
#   cloud-init-client.py socket|serial get KEY | put KEY VALUE | list | delete KEY | network
import sys

from cloudinit.sources import DataSourceSmartOS as smartos

transport, verb, *words = sys.argv[1:]
client = (
    smartos.JoyentMetadataSocketClient("/.zonecontrol/metadata.sock")
    if transport == "socket"
    else smartos.JoyentMetadataSerialClient("/dev/ttyS1", timeout=60)
)
with client:
    if verb == "network":
        print(smartos.convert_smartos_network_data(network_data=client.get_json("sdc:nics"), routes=client.get_json("sdc:routes")))
    else:
        said = {"get": client.get, "put": client.put, "list": client.list, "delete": client.delete}[verb](*words)
        print("\n".join(said) if isinstance(said, list) else said)
