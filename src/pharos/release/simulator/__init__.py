"""The simulator: a scripted provider that speaks the wire protocols of OpenAI, Anthropic and Google over real HTTP.

It is the beginning of the simulation environment: what a client, an agent or the gateway sends meets answers and
failures that are known in advance. It is no model, and everything it says is marked as its own.

>>> simulator = Simulator(parse_script("rules: [{answer: Hello}]"))
>>> async with serve(simulator) as url: ...
"""

from pharos.release.simulator.app import HEADER, Simulator
from pharos.release.simulator.loading import load_script, parse_script
from pharos.release.simulator.records import Received, Records
from pharos.release.simulator.script import Script
from pharos.release.simulator.serving import run, serve

__all__ = ["HEADER", "Received", "Records", "Script", "Simulator", "load_script", "parse_script", "run", "serve"]
