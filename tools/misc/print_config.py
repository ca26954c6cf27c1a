"""Print a config as it is after inheritance and --cfg-options."""

from hetkd.apis.cli import add_config, config_of, run_tool, tool_parser


def main(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser, 'config file')
    args = parser.parse_args(argv)
    print(config_of(args).pretty_text)


if __name__ == '__main__':
    run_tool(main)
