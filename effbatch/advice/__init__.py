"""A network, data, what is known of α and a budget -> batch size, learning rate, accuracy, and which labels pay."""

from effbatch.advice.answers import Advice
from effbatch.advice.assembly import advise

__all__ = ["Advice", "advise"]
