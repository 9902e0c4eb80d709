"""Clients' calls, for events that somebody must have asked for."""

from controller.core.access import Action, Call, Principal

CLIENT = Principal("alice@office dgctl", "ipv4:127.0.0.1:5")


def call(action: Action = Action.REQUEST, subject: str = "", asked: str = "") -> Call:
    return Call(CLIENT, action, subject, asked)
