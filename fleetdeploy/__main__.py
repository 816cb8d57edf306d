from fleetdeploy.cli.main import main

main()
