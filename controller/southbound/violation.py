"""What a router may not say."""


class Violation(ValueError):
    """A message that makes no sense, or that is not for this router to say. ``kind`` names the sort of message; it is
    counted by it.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
