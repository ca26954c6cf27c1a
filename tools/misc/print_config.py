"""Print a config as it is after inheritance and --cfg-options."""

import argparse

from hetkd.apis.cli import add_config, config_of, run_tool


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_config(parser, 'config file')
    args = parser.parse_args(argv)
    print(config_of(args).pretty_text)


if __name__ == '__main__':
    run_tool(main)
