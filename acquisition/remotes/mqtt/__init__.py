"""MQTT as a remote: what is live for whoever watches, and a durable feed of the record for whoever keeps."""

from acquisition.remotes.mqtt.credentials import Account
from acquisition.remotes.mqtt.remote import NAME, MqttRemote
from acquisition.remotes.mqtt.session import Station
from acquisition.remotes.mqtt.topics import Topics

__all__ = ["NAME", "Account", "MqttRemote", "Station", "Topics"]
